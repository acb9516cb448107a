-- The rules in force, their mode and what they protect, in one word: what a command is held to that judges by itself.
ALTER TABLE policies_in_force ADD COLUMN grounds TEXT;
