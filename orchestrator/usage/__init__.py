"""Where did the GPU hours go? Every second of every execution in one class, with its cause, and time in queues."""
