"""What `import edgepose` offers to a program: docs/python.md is its manual."""
