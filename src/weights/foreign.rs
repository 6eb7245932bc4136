//! What a file is that is no checkpoint: what a failed download leaves, above all.

/// How much of a text is quoted.
const QUOTED: usize = 60;

/// So much of a file tells what it is.
pub(super) const HEAD: usize = 512;

/// What the file that begins so is and what to do, where it is something known.
pub(super) fn what(bytes: &[u8]) -> Option<String> {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    if begins(b"version https://git-lfs") {
        return Some("a Git LFS pointer, not the file that it stands for: run `git lfs pull`, or download the file itself".into());
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some("a tar archive; if an early torch wrote it, load and save it again with torch 1.6 or later".into());
    }
    if matches!(bytes, [0x80, 2..=5, ..]) {
        return Some("a bare pickle; load it with Python and save it again with torch 1.6 or later".into());
    }
    if begins(b"\x89PNG") || begins(b"\xff\xd8\xff") {
        return Some("a picture, not a checkpoint".into());
    }
    let text = text(bytes)?;
    if text.trim_start().starts_with('<') {
        return Some("a web page, not a checkpoint: the download failed or needs a login; download it again".into());
    }
    let line: String = text.trim().lines().next().unwrap_or_default().chars().take(QUOTED).collect();
    Some(format!("text, not a checkpoint: it begins with `{line}`; download it again"))
}

/// The beginning of a file, where that is plain text.
fn text(bytes: &[u8]) -> Option<&str> {
    let start = &bytes[..bytes.len().min(4 * QUOTED)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // Cut within a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    text.chars().all(|character| !character.is_control() || character.is_ascii_whitespace()).then_some(text)
}
