//! A component that exports nothing: there is no handler in it.
