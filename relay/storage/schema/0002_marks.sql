-- The same envelope is known again by its signature (docs/adr/0010-what-comes-together-is-dealt-with-together.md).
ALTER TABLE mailbox RENAME COLUMN digest TO mark; -- 32 bytes
