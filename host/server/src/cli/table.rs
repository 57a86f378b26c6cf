//! Tables without lines, fitted to the terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

/// A table, cells given row by row. `rigid` columns keep their width, so that ids can be copied in one piece.
pub(super) fn table(
    header: &[&str],
    rigid: &[usize],
    right: &[usize],
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if rigid.contains(&at) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Names with their values, one a line; those without a value are left out.
pub(super) fn fields(fields: &[(&str, Option<String>)]) -> String {
    let given: Vec<_> = fields.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value))).collect();
    let width = given.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(&&str, &String)| {
        let indented = value.replace('\n', &format!("\n{:width$}  ", ""));
        format!("{name:width$}  {indented}\n")
    };
    given.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_no_lines_around_it() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["bb".to_owned(), "22".to_owned()]];
        assert_eq!(table(&["NAME", "JOBS"], &[0], &[1], rows.into_iter()), "NAME  JOBS\na        1\nbb      22");
    }

    #[test]
    fn fields_without_a_value_are_left_out() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(fields(&[("a", some("1")), ("bbb", None), ("cc", some("2\n3"))]), "a   1\ncc  2\n    3\n");
    }
}
