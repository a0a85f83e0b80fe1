-- Frozen: what version 0010 adds to 0009. Statements are separated by a line that holds only '--'.
CREATE TABLE seal (
	code VARCHAR NOT NULL, 
	program VARCHAR NOT NULL, 
	verdict VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	PRIMARY KEY (code, program)
)
 WITHOUT ROWID
