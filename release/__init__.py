"""What is handed out as a version: built below dist/, and pushed nowhere."""
