-- Who is let in. Whoever was written to is, and whoever was known before anybody was asked.
ALTER TABLE contact ADD COLUMN allowed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contact ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
UPDATE contact SET allowed = 1;
