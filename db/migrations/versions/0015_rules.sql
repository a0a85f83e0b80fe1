-- Frozen: what version 0015 adds to 0014. Statements are separated by a line that holds only '--'.
CREATE TABLE rule (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	entry VARCHAR NOT NULL, 
	seeds INTEGER NOT NULL, 
	look VARCHAR, 
	verdict VARCHAR NOT NULL, 
	why VARCHAR, 
	ended_at VARCHAR, 
	PRIMARY KEY (id), 
	FOREIGN KEY(study_id) REFERENCES study (id)
)
--
CREATE UNIQUE INDEX rule_open ON rule (study_id) WHERE ended_at IS NULL
