"""Quality of a model: held-out tasks, a runner that batches them, and a report page."""
