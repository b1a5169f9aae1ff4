"""The database: sessions, transactions, column types, migrations."""
