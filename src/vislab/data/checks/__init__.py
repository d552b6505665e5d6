"""What is wrong or doubtful in a folder of images or annotations, and pages that show it."""
