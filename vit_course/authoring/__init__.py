"""For maintainers and teachers: execute, lint, handout, grade."""
