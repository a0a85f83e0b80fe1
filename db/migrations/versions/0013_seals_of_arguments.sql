-- Frozen: what version 0013 changes of 0012. Statements are separated by a line that holds only '--'.
ALTER TABLE seal RENAME TO seal_before
--
CREATE TABLE seal (
	code VARCHAR NOT NULL, 
	program VARCHAR NOT NULL, 
	arguments VARCHAR NOT NULL, 
	verdict VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	tried VARCHAR NOT NULL, 
	untried VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	PRIMARY KEY (code, program, arguments)
)
 WITHOUT ROWID
--
INSERT INTO seal SELECT code, program, '', verdict, reason, '{}', '[]', at FROM seal_before
--
DROP TABLE seal_before
