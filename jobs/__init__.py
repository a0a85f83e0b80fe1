"""What must every program that meets a job agree on? Kinds, words, records, the run folder; never torch."""
