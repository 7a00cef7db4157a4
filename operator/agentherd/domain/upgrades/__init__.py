"""How an AgentUpgrade goes: who may begin, its steps, what holds it, the way back, its status."""
