//! Makes up sales to summarise: `cargo run -p reports --example make_sales -- FILE [ROWS]`. The same number of rows
//! gives the same file.

use std::{env, error::Error, fs, path::PathBuf};

const REGIONS: [&str; 5] = ["north", "east", "south", "west", "overseas"];
const PRODUCTS: [&str; 8] = ["anchor", "bolt", "cable", "drum", "hook", "pulley", "shackle", "winch"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let file = PathBuf::from(arguments.next().ok_or("expected the file to write: make_sales FILE [ROWS]")?);
    let rows = match arguments.next() {
        Some(rows) => rows.to_string_lossy().parse::<u32>().map_err(|error| format!("failed to read ROWS: {error}"))?,
        None => 100_000,
    };
    let mut random = fastrand::Rng::with_seed(7);
    let failed = |error: &dyn Error| format!("failed to write {}: {error}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let mut csv = csv::Writer::from_path(&file).map_err(|error| failed(&error))?;
    csv.write_record(["date", "region", "product", "quantity", "unit_price_cents"])?;
    for row in 0..rows {
        let day = u64::from(row) * 365 / u64::from(rows);
        let product = random.usize(..PRODUCTS.len());
        csv.write_record([
            format!("2026-{:02}-{:02}", day / 31 + 1, day % 31 % 28 + 1),
            REGIONS[random.usize(..REGIONS.len())].to_owned(),
            PRODUCTS[product].to_owned(),
            random.u32(1..=20).to_string(),
            ((product as u32 + 1) * 499).to_string(),
        ])?;
    }
    csv.flush()?;
    Ok(())
}
