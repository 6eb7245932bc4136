//! HTML's character references, as HTML 5 says to read them: names without a semicolon, numbers of Windows code points and all.
//!
//! One exception: of the 93 mathematical names that stand for a character with a combining one (`&bne;`), only the first is given.

use html_escape::NAMED_ENTITIES;

use super::mojibake::windows_1252;

/// The names that also count without a semicolon.
const LEGACY: &str = "AElig AMP Aacute Acirc Agrave Aring Atilde Auml COPY Ccedil ETH Eacute Ecirc Egrave Euml GT Iacute Icirc Igrave Iuml LT Ntilde \
    Oacute Ocirc Ograve Oslash Otilde Ouml QUOT REG THORN Uacute Ucirc Ugrave Uuml Yacute aacute acirc acute aelig agrave amp aring \
    atilde auml brvbar ccedil cedil cent copy curren deg divide eacute ecirc egrave eth euml frac12 frac14 frac34 gt iacute icirc \
    iexcl igrave iquest iuml laquo lt macr micro middot nbsp not ntilde oacute ocirc ograve ordf ordm oslash otilde ouml para plusmn \
    pound quot raquo reg sect shy sup1 sup2 sup3 szlig thorn times uacute ucirc ugrave uml uuml yacute yen yuml";

/// More characters no name has.
const MAX_NAME: usize = 32;

/// Replaces every reference, once.
pub(super) fn unescape(text: &str) -> String {
    replace(text, |after| number(after).or_else(|| name(after)))
}

/// Replaces only references with a semicolon, and those that someone put in capitals (`&EACUTE;`) too.
pub(super) fn unescape_strictly(text: &str) -> String {
    replace(text, |after| {
        let length = after.find(';')?;
        let body = &after[..length];
        let digits = body.strip_prefix('#').unwrap_or(body);
        if digits.is_empty() || digits.len() > 24 || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let value = match digits.len() < length {
            true => number(after).filter(|(used, value)| *used > length && value != ";").map(|(_, value)| value),
            false => entity(body).map(String::from).or_else(|| capitals(body)),
        };
        Some((length + 1, value?))
    })
}

/// Replaces each `&` and what follows it where `read` finds a reference there: how many bytes it takes after the `&`, and its value.
fn replace(text: &str, read: impl Fn(&str) -> Option<(usize, String)>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match read(rest) {
            Some((used, value)) => {
                result.push_str(&value);
                rest = &rest[used..];
            }
            None => result.push('&'),
        }
    }
    result + rest
}

fn number(after: &str) -> Option<(usize, String)> {
    let body = after.strip_prefix('#')?;
    let (digits, radix) = body.strip_prefix(['x', 'X']).map_or((body, 10), |digits| (digits, 16));
    let count = digits.bytes().take_while(|&byte| char::from(byte).is_digit(radix)).count();
    if count == 0 {
        return None;
    }
    let (number, rest) = digits.split_at(count);
    // What does not fit is beyond Unicode in any case.
    let value = u32::from_str_radix(number, radix).unwrap_or(u32::MAX);
    let used = after.len() - rest.len() + usize::from(rest.starts_with(';'));
    Some((used, character(value).map(String::from).unwrap_or_default()))
}

/// What a number stands for; code points that are none vanish.
fn character(value: u32) -> Option<char> {
    match value {
        0 => Some('\u{fffd}'),
        0x80..=0x9f => Some(windows_1252(value as u8)),
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if value < 0x11_0000 && value & 0xfffe == 0xfffe => None,
        _ => Some(char::from_u32(value).unwrap_or('\u{fffd}')),
    }
}

fn name(after: &str) -> Option<(usize, String)> {
    let is_end = |character| matches!(character, '\t' | '\n' | '\x0c' | ' ' | '<' | '&' | '#' | ';');
    let length =
        after.char_indices().take(MAX_NAME).take_while(|&(_, character)| !is_end(character)).map(|(at, c)| at + c.len_utf8()).last()?;
    if after[length..].starts_with(';')
        && let Some(value) = entity(&after[..length])
    {
        return Some((length + 1, value.into()));
    }
    let legacy = LEGACY.split_ascii_whitespace().filter(|name| after[..length].starts_with(name)).max_by_key(|name| name.len())?;
    Some((legacy.len(), entity(legacy)?.into()))
}

fn entity(name: &str) -> Option<&'static str> {
    NAMED_ENTITIES.binary_search_by_key(&name.as_bytes(), |(known, _)| known).ok().map(|at| NAMED_ENTITIES[at].1)
}

/// The value of a name in capitals that has a meaning only in small letters.
fn capitals(body: &str) -> Option<String> {
    let is_capital = !body.bytes().any(|byte| byte.is_ascii_lowercase());
    let value = entity(&body.to_ascii_lowercase()).filter(|_| is_capital && name(body).is_none())?;
    Some(value.to_uppercase())
}
