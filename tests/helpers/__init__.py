"""What tests share: made-up people, pictures, boards and brokers; slow references; runs of a service."""
