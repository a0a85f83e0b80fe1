-- Frozen: what version 0011 adds to 0010. Statements are separated by a line that holds only '--'.
CREATE TABLE rhythm (
	config_id INTEGER NOT NULL, 
	execution_id INTEGER NOT NULL, 
	text VARCHAR NOT NULL, 
	PRIMARY KEY (config_id, execution_id), 
	FOREIGN KEY(config_id) REFERENCES config (id), 
	FOREIGN KEY(execution_id) REFERENCES execution (id)
)
 WITHOUT ROWID
--
CREATE INDEX attempt_hung ON attempt (ended_at) WHERE cause = 'hang'
