CREATE TABLE items (name text PRIMARY KEY);
INSERT INTO items VALUES ('lamp'), ('table');
