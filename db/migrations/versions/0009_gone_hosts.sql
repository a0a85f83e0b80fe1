-- Frozen: what version 0009 adds to 0008. Statements are separated by a line that holds only '--'.
CREATE TABLE gone_host (
	name VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	evidence VARCHAR NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID
