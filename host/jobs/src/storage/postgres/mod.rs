//! PostgreSQL, for several hosts on one database.
