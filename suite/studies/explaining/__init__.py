"""Studies: explained gaps. Two runs that differ in several ways, and what each way is worth."""
