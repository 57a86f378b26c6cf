//! Adding up sales.

use std::{collections::BTreeMap, io::Read};

use windlass_guest::prelude::*;

/// Progress is told after this many rows: every few percent of the files that this example is made for.
const ROWS_PER_STEP: u64 = 2_000;

/// A row of the file.
#[derive(Debug, Deserialize)]
pub struct Sale {
    /// Where it was sold.
    pub region: String,
    /// What was sold.
    pub product: String,
    /// How many.
    pub quantity: u32,
    /// The price of one, in cents.
    pub unit_price_cents: u32,
}

/// What sales come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Totals {
    /// How many sales.
    pub rows: u64,
    /// How many things.
    pub quantity: u64,
    /// What was paid, in cents.
    pub revenue_cents: u64,
}

/// What a file of sales comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Summary {
    /// How many rows were added up.
    pub rows: u64,
    /// How many rows could not be read, and were left out.
    pub unreadable_rows: u64,
    /// All of it.
    pub total: Totals,
    /// By region.
    pub by_region: BTreeMap<String, Totals>,
    /// By product.
    pub by_product: BTreeMap<String, Totals>,
}

impl Totals {
    fn add(&mut self, sale: &Sale) {
        self.rows += 1;
        self.quantity = self.quantity.saturating_add(sale.quantity.into());
        let paid = u64::from(sale.quantity) * u64::from(sale.unit_price_cents);
        self.revenue_cents = self.revenue_cents.saturating_add(paid);
    }
}

impl Summary {
    fn add(&mut self, sale: &Sale) {
        self.rows += 1;
        self.total.add(sale);
        // Most rows name a group that is there already, so the name is only kept for the first.
        for (groups, name) in [(&mut self.by_region, &sale.region), (&mut self.by_product, &sale.product)] {
            match groups.get_mut(name.as_str()) {
                Some(group) => group.add(sale),
                None => groups.entry(name.clone()).or_default().add(sale),
            }
        }
    }
}

/// Reads a file of sales to its end, telling now and then how many rows and bytes are done.
pub(crate) fn read(
    file: impl Read,
    mut step: impl FnMut(u64, u64) -> Result<(), JobError>,
) -> Result<Summary, JobError> {
    let mut reader = csv::Reader::from_reader(file);
    let headers = reader.headers().or_fatal("bad-csv")?.clone();
    for column in ["region", "product", "quantity", "unit_price_cents"] {
        if !headers.iter().any(|header| header == column) {
            return Err(JobError::fatal("bad-csv", format!("the file has no column `{column}`")));
        }
    }
    let mut summary = Summary::default();
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => match record.deserialize(Some(&headers)) {
                Ok(sale) => summary.add(&sale),
                Err(_) => summary.unreadable_rows += 1,
            },
            Err(error) if error.is_io_error() => return Err(JobError::retry("unreadable", error.to_string())),
            Err(_) => summary.unreadable_rows += 1,
        }
        let seen = summary.rows + summary.unreadable_rows;
        if seen.is_multiple_of(ROWS_PER_STEP) {
            step(seen, reader.position().byte())?;
        }
    }
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_cannot_be_read_are_counted_and_left_out() {
        let csv =
            "region,product,quantity,unit_price_cents\nnorth,bolt,2,150\nnorth,bolt,many,150\nsouth\nsouth,nut,1,5\n";
        let summary = read(csv.as_bytes(), |_, _| Ok(())).unwrap();
        assert_eq!((summary.rows, summary.unreadable_rows), (2, 2));
        assert_eq!(summary.total, Totals { rows: 2, quantity: 3, revenue_cents: 305 });
        assert_eq!(summary.by_product.keys().collect::<Vec<_>>(), ["bolt", "nut"]);
    }

    #[test]
    fn a_file_without_a_needed_column_is_refused_by_name() {
        let error = read("region,product,quantity\n".as_bytes(), |_, _| Ok(())).unwrap_err();
        assert_eq!(error.failure().unwrap().message, "the file has no column `unit_price_cents`");
    }
}
