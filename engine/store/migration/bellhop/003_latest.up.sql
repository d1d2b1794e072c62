-- What tells a repetition of the appointment's latest event from a new event that says the same as an earlier one;
-- receive alone understands it. NULL until an event comes.
ALTER TABLE appointments ADD COLUMN latest blob;
