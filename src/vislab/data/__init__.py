"""Pictures in: the catalogue, folders and zips, the offline world, batches and augmentation."""
