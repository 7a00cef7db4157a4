"""What a ModelDeployment is beyond the Agent that would run its versions."""
