"""What is built in the course, from tensors up; needs torch alone."""
