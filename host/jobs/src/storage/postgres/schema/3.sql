-- How much memory a server's process holds.
ALTER TABLE @servers ADD COLUMN memory bigint;
