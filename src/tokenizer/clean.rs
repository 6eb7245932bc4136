//! What the reference pipelines do to a prompt before they tokenize it: repair the text, resolve HTML references, tidy white space.

use unicode_normalization::UnicodeNormalization;

use super::{html, mojibake};

/// After so many rounds a text counts as repaired; ordinary ones need two.
const MAX_ROUNDS: usize = 64;

/// A prompt as diffusers' Wan pipelines clean it, with ftfy's `fix_text`, twice Python's `html.unescape`, and white space collapsed.
///
/// Quotes are straightened, ligatures and full-width forms resolved, control characters and terminal colours dropped, canonical compositions
/// composed (NFC). Text that was UTF-8 and got read as Latin-1 or Windows-1252 is read back; of other such mix-ups, which ftfy knows too, it
/// stays as it is.
pub fn clean(prompt: &str) -> String {
    let text = html::unescape(&html::unescape(&fix(prompt)));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Repairs line by line. From the first line on that looks like markup, references stay.
fn fix(text: &str) -> String {
    let mut has_markup = false;
    let mut result = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        has_markup |= line.contains('<');
        result.push_str(&fix_line(line, !has_markup));
    }
    result
}

fn fix_line(line: &str, unescape: bool) -> String {
    let mut text = line.to_owned();
    for _ in 0..MAX_ROUNDS {
        let unescaped = if unescape { html::unescape_strictly(&text) } else { text.clone() };
        let fixed = simplify(&mojibake::repair(&unescaped));
        if fixed == text {
            break;
        }
        text = fixed;
    }
    text
}

fn simplify(text: &str) -> String {
    let mut simple = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{80}'..='\u{9f}' => push_simple(mojibake::windows_1252(character as u8), &mut simple),
            _ => push_simple(character, &mut simple),
        }
    }
    let text = simple.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
    remove_terminal_escapes(&text).chars().filter(|&character| !is_control(character)).nfc().collect()
}

/// Ligatures, width and quotes.
fn push_simple(character: char, text: &mut String) {
    let letters = match character {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "'n",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        '\u{3000}' => " ",
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => "'",
        '\u{201c}'..='\u{201f}' => "\"",
        '\u{ff01}'..='\u{ffef}' => return text.extend(std::iter::once(character).nfkc()),
        _ => return text.push(character),
    };
    text.push_str(letters);
}

/// `ESC [ 1 ; 31 m` and the like.
fn remove_terminal_escapes(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        let (before, escape) = rest.split_at(at);
        let after = escape[2..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        result.push_str(before);
        rest = match after.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            Some(after) => after,
            None => {
                result.push_str("\x1b[");
                &escape[2..]
            }
        };
    }
    result + rest
}

/// Characters that nobody means to write. Tabs, line breaks and form feeds are white space, C1 controls are dealt with before.
fn is_control(character: char) -> bool {
    matches!(character, '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}
