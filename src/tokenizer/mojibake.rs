//! Text that was UTF-8 and got read as Latin-1 or Windows-1252 (`cafÃ©`), told from text that is meant so, and read back.
//!
//! The telling follows ftfy: some neighbours among the characters that such mistakes produce hardly ever stand together otherwise.

/// Rounds of misreading that are undone.
const MAX_ROUNDS: usize = 64;

/// The meanings of the bytes 0x80 to 0x9f in Windows-1252; those it leaves open are control characters.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–',
    '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// A byte read as Windows-1252.
pub(super) fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte) - 0x80],
        _ => char::from(byte),
    }
}

fn to_windows_1252(character: char) -> Option<u8> {
    let special = WINDOWS_1252.iter().position(|&known| known == character).map(|at| at as u8 + 0x80);
    special.or_else(|| to_latin_1(character).filter(|byte| !(0x80..=0x9f).contains(byte) && *byte != 0x1a))
}

fn to_latin_1(character: char) -> Option<u8> {
    u8::try_from(u32::from(character)).ok()
}

/// Undoes every misreading that can be told.
pub(super) fn repair(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..MAX_ROUNDS {
        let repaired = repair_once(&text);
        if repaired == text {
            break;
        }
        text = repaired;
    }
    text
}

fn repair_once(text: &str) -> String {
    if !is_bad(text) {
        return text.into();
    }
    for encode in [to_latin_1, to_windows_1252] {
        let bytes: Option<Vec<u8>> = text.chars().map(encode).collect();
        if let Some(decoded) = bytes.and_then(|bytes| String::from_utf8(restore_spaces(bytes)).ok()) {
            return decoded;
        }
    }
    let repaired = repair_parts(text);
    if repaired != text {
        return repaired;
    }
    text.chars().map(|c| if matches!(c, '\u{80}'..='\u{9f}') { windows_1252(c as u8) } else { c }).collect()
}

/// Repairs the stretches that look like UTF-8 within other text.
fn repair_parts(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let is_cut = at > 0 && is_continuation(characters[at - 1], false);
        let length = if is_cut { 0 } else { sequences(&characters[at..]) };
        if length == 0 {
            result.push(characters[at]);
            at += 1;
            continue;
        }
        let part: String = characters[at..at + length].iter().collect();
        let is_whole = length == characters.len();
        result.push_str(&if !is_whole && is_bad(&part) { repair(&part) } else { part });
        at += length;
    }
    result
}

/// How many characters from the start look like UTF-8 sequences.
fn sequences(characters: &[char]) -> usize {
    let mut length = 0;
    while let Some(&first) = characters.get(length) {
        let more = match first {
            'Â'..='ß' => 1,
            'à'..='ï' => 2,
            'ð' | 'ó' => 3,
            _ => return length,
        };
        let rest = characters.get(length + 1..length + 1 + more);
        if !rest.is_some_and(|rest| rest.iter().all(|&c| is_continuation(c, true))) {
            return length;
        }
        length += 1 + more;
    }
    length
}

/// Whether a character may stand for a later byte of a sequence; `loosely` also where it often stands for itself.
fn is_continuation(character: char, loosely: bool) -> bool {
    match character {
        '\u{80}'..='\u{bf}' => true,
        ' ' | '–' | '—' | '‘' | '’' | '‚' | '“' | '”' | '„' | '•' | '…' => loosely,
        _ => WINDOWS_1252.contains(&character),
    }
}

/// Puts the byte A0 back where a program took it for a space within a sequence.
fn restore_spaces(bytes: Vec<u8>) -> Vec<u8> {
    let mut restored = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        restored.push(byte);
        // `Ã la mode` was `à la mode`: the space stands for A0 and for itself. `Ãquele` and its kin are Portuguese words.
        let after = &bytes[at + 1..];
        let same_word = [&b" "[..], b"quele", b"quela", b"quilo", b"s "];
        if byte == 0xc3 && after.first() == Some(&b' ') && !same_word.iter().any(|word| after[1..].starts_with(word)) {
            restored.push(0xa0);
        }
    }
    let mut at = 0;
    while at < restored.len() {
        let length = altered_sequence(&restored[at..]);
        for byte in &mut restored[at..at + length] {
            *byte = if *byte == b' ' { 0xa0 } else { *byte };
        }
        at += length.max(1);
    }
    restored
}

/// The length of the UTF-8 sequence with one space instead of A0 that `bytes` begins with, as far as it leads to a likely character.
fn altered_sequence(bytes: &[u8]) -> usize {
    let later = |byte: u8| matches!(byte, 0x80..=0x84 | 0x86..=0x9f | 0xa1..=0xbf);
    let any = |byte: u8| matches!(byte, 0x80..=0xbf);
    match *bytes {
        [0xc2 | 0xc3 | 0xc5 | 0xce | 0xd0 | 0xd9, b' ', ..] => 2,
        [0xe2 | 0xe3, b' ', b, ..] if later(b) => 3,
        [0xe0..=0xe3, a, b' ', ..] if later(a) => 3,
        [0xf0, b' ', b, c, ..] if any(b) && any(c) => 4,
        [0xf0, a, b' ', c, ..] if any(a) && any(c) => 4,
        [0xf0, a, b, b' ', ..] if any(a) && any(b) => 4,
        _ => 0,
    }
}

/// What a character is among those that misreading produces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    Common,
    Control,
    Bad,
    Law,
    Currency,
    Start,
    End,
    Numeric,
    Upper,
    Lower,
}

use Kind::{Bad, Common, Control, Currency, End, Law, Lower, Numeric, Other, Start, Upper};

fn kind(character: char) -> Kind {
    match character {
        '\u{80}'..='\u{9f}' => Control,
        '\u{a0}' | '\u{ad}' | '·' | '´' | '–' | '—' | '…' | '’' => Common,
        '¦' | '¤' | '¨' | '¬' | '¯' | '¸' | 'ƒ' | 'ˆ' | '˜' | '†' | '‡' | '‰' | '\u{fffd}' | 'ª' | 'º' => Bad,
        '¶' | '§' => Law,
        '¢' | '£' | '¥' | '€' => Currency,
        '¡' | '«' | '¿' | '©' | '‘' | '‚' | '“' | '„' | '•' | '‹' => Start,
        '®' | '»' | '”' | '›' | '™' => End,
        '²' | '³' | '¹' | '±' | '¼' | '½' | '¾' | '×' | 'µ' | '÷' => Numeric,
        'À'..='Ñ' | 'Ø' | 'Ü' | 'Ý' | 'Œ' | 'Š' | 'Ÿ' | 'Ž' => Upper,
        'ß' | 'à'..='ñ' | 'ü' | 'œ' | 'š' | 'ž' => Lower,
        _ => Other,
    }
}

/// Whether neighbours stand somewhere that hardly anyone writes.
fn is_bad(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    let characters: Vec<char> = text.chars().collect();
    let starts_badly = matches!(characters[..], ['Ã' | 'Â', ' ', ..]);
    starts_badly || (0..characters.len()).any(|at| is_bad_pair(&characters[at..]) || is_bad_group(&characters[at..]))
}

fn is_bad_pair(characters: &[char]) -> bool {
    let &[a, ref rest @ ..] = characters else {
        return false;
    };
    let Some(&b) = rest.first() else {
        return kind(a) == Control;
    };
    match (kind(a), kind(b)) {
        (Control, _)
        | (Bad | Lower | Upper | Start | End | Currency | Numeric | Law, Bad)
        | (Bad, Lower | Upper | Start | End | Currency | Numeric | Law)
        | (Lower | End | Currency | Numeric, Upper)
        | (End | Currency | Numeric, Lower)
        | (Lower | End, Currency)
        | (Upper, Numeric | Law)
        | (Currency | Numeric, Start) => return true,
        _ => {}
    }
    match (a, b) {
        ('Œ' | 'œ', _) => !b.is_ascii_alphabetic(),
        (_, '°') => kind(a) == Upper,
        ('Â' | 'Ã' | 'Î' | 'Ð', '€' | 'œ' | 'Š' | 'š' | '¢' | '£' | 'Ÿ' | 'ž' | '\u{a0}' | '\u{ad}' | '·' | '–' | '—' | '´') => {
            true
        }
        ('Â' | 'Ã' | 'Î' | 'Ð', _) => matches!(kind(b), Start | End),
        ('×', '²' | '³') | ('à', '²' | 'µ' | '¹' | '¼' | '½' | '¾') => true,
        _ => false,
    }
}

fn is_bad_group(characters: &[char]) -> bool {
    let &[a, b, c, ref rest @ ..] = characters else {
        return false;
    };
    let arabic = |c: char| matches!(kind(c), Common | Currency | Bad | Numeric | Start) || matches!(c, 'Ÿ' | 'Š' | '®' | '°' | '»');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    match (kind(a), kind(b), kind(c)) {
        (_, Upper, Currency) if a.is_whitespace() => return true,
        (_, Upper, Start | Currency) if a.is_ascii_lowercase() => return true,
        (Lower | Upper | Currency | End, Start, Numeric) | (Lower | Upper | Currency | Numeric | Law, End, Start) => return true,
        (Lower | Upper, Start | End, _) if is_word(c) => return true,
        _ => {}
    }
    let ends_word = a.is_ascii_lowercase() || matches!(a, '.' | ',' | '?' | '!') || kind(a) == End;
    match (a, b, c) {
        (_, 'Ã' | 'Â', ' ') if a.is_ascii_lowercase() => true,
        (_, _, 'Ã' | 'Â') if a.is_ascii_lowercase() && b.is_whitespace() => rest.first() == Some(&' '),
        (_, 'Â', _) if ends_word => c == ' ' || matches!(kind(c), Start | End),
        ('Ø' | 'Ù', _, 'Ø' | 'Ù') => arabic(b) && rest.first().is_some_and(|&d| arabic(d)),
        _ => false,
    }
}
