windlass_guest::export!();

fn main() {}
