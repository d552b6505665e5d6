"""What is wrong or doubtful in a folder of pictures or annotations, and pages that show it."""
