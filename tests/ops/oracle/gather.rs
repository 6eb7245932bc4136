use crate::approx::Approx;
use crate::host::Host;

pub fn gather(table: &Host, rows: &[u32]) -> Vec<Approx> {
    rows.iter().flat_map(|&row| (0..table.cols()).map(move |c| table.at(row as usize * table.cols() + c))).collect()
}
