-- What version 4 adds: how much memory a server's process holds.
ALTER TABLE servers ADD COLUMN memory INTEGER;
