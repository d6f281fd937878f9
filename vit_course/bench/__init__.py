"""`python -m vit_course bench`: this course's code measured beside the libraries that people would otherwise use."""
