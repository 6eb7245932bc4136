//! The wire format of protocol buffers, read without copying.

#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// The fields of a message with their numbers, in the order of the file.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Option<(u32, Field<'a>)> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(*self.take(8)?.first_chunk()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(*self.take(4)?.first_chunk()?),
            _ => return None,
        };
        Some((u32::try_from(key >> 3).ok().filter(|&number| number > 0)?, field))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field().ok_or_else(|| "it is damaged or cut short".into());
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    pub(super) fn int(self) -> Result<i64, String> {
        match self {
            Self::Varint(value) => Ok(value as i64),
            _ => Err("it has something else where a whole number belongs".into()),
        }
    }

    pub(super) fn float(self) -> Result<f32, String> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err("it has something else where a number belongs".into()),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err("it has something else where text or a message belongs".into()),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "it has text that is not UTF-8".into())
    }

    /// Adds one whole number, or many that are packed.
    pub(super) fn push_ints(self, ints: &mut Vec<i64>) -> Result<(), String> {
        let Self::Bytes(packed) = self else {
            ints.push(self.int()?);
            return Ok(());
        };
        let mut fields = Fields::new(packed);
        while !fields.rest.is_empty() {
            ints.push(fields.varint().ok_or("it has a list of numbers that is cut short")? as i64);
        }
        Ok(())
    }

    /// Adds one number, or many that are packed.
    pub(super) fn push_floats(self, floats: &mut Vec<f32>) -> Result<(), String> {
        let Self::Bytes(packed) = self else {
            floats.push(self.float()?);
            return Ok(());
        };
        let (numbers, rest) = packed.as_chunks::<4>();
        floats.extend(numbers.iter().map(|&number| f32::from_le_bytes(number)));
        if rest.is_empty() { Ok(()) } else { Err("it has a list of numbers that is cut short".into()) }
    }

    /// Adds one number in double precision, or many that are packed.
    pub(super) fn push_doubles(self, floats: &mut Vec<f32>) -> Result<(), String> {
        let (numbers, rest) = match &self {
            Self::Bytes(packed) => packed.as_chunks::<8>(),
            Self::Fixed64(number) => (std::slice::from_ref(number), [].as_slice()),
            _ => return Err("it has something else where a number belongs".into()),
        };
        floats.extend(numbers.iter().map(|&number| f64::from_le_bytes(number) as f32));
        if rest.is_empty() { Ok(()) } else { Err("it has a list of numbers that is cut short".into()) }
    }
}
