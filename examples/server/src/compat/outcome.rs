//! What came of a job, as all surfaces need it.

use crate::app::App;
use crate::error::Result;
use crate::job::{Job, Output};
use crate::jobs;
use crate::view;

/// Addresses of a job's results, and what a classifier says of each.
pub async fn results(app: &App, job: &Job) -> Result<Vec<(Output, String)>> {
    if job.state != "completed" {
        return Ok(Vec::new());
    }
    let outputs = jobs::outputs(&app.database, &job.id).await?;
    Ok(outputs.into_iter().map(|output| (view::output_url(app, &output), output)).map(|(url, output)| (output, url)).collect())
}

/// Why it failed, where it did.
pub fn fault(job: &Job) -> Option<(&str, &str)> {
    match job.state.as_str() {
        "cancelled" => Some(("cancelled", "the job was cancelled")),
        _ => job.error_code.as_deref().map(|code| (code, job.error.as_deref().unwrap_or_default())),
    }
}
