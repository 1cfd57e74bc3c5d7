"""Forms of records: each module turns one way of writing conversations into `Conversation`."""
