//! Python's pickle format, as far as torch's checkpoints use it. Nothing is executed: a handful of names is known, any other is an error.

use std::collections::HashMap;

/// Something a pickle holds. Compound things lie in the [`Pickle`] and are referred to by number, so that they may occur several times, even
/// within themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Bytes,
    Text(&'a str),
    /// A name of a module.
    Global(&'a str, &'a str),
    Object(usize),
}

#[derive(Debug)]
pub(super) enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// What the file outside the pickle holds under this id.
    Persistent(Value<'a>),
    /// A known function applied to a tuple of arguments, which is an object itself.
    Call(Value<'a>, Value<'a>),
}

pub(super) struct Pickle<'a> {
    objects: Vec<Object<'a>>,
    root: Value<'a>,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle whose global names all pass `is_known`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: &'a [u8], is_known: fn(&str, &str) -> bool) -> Result<Self, String> {
        let mut machine =
            Machine { rest: bytes, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), objects: Vec::new(), is_known };
        let root = machine.run()?;
        Ok(Self { objects: machine.objects, root })
    }

    pub(super) fn root(&self) -> Value<'a> {
        self.root
    }

    pub(super) fn object(&self, value: Value<'a>) -> Option<&Object<'a>> {
        match value {
            Value::Object(index) => self.objects.get(index),
            _ => None,
        }
    }

    /// The elements of a tuple or a list.
    pub(super) fn sequence(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.object(value)? {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value<'a>>,
    /// Heights of the stack where marks stand.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    objects: Vec<Object<'a>>,
    is_known: fn(&str, &str) -> bool,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value<'a>, String> {
        loop {
            let [code] = self.take()?;
            match code {
                b'.' => return self.pop(),
                0x80 => drop(self.take::<1>()?), // protocol
                0x95 => drop(self.take::<8>()?), // frame
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'2' => self.push(*self.stack.last().ok_or("its stack is empty")?),
                b'N' => self.push(Value::None),
                0x88 => self.push(Value::Bool(true)),
                0x89 => self.push(Value::Bool(false)),
                b'K' | b'M' | b'J' | 0x8a => self.integer(code)?,
                b'G' => {
                    self.take::<8>()?;
                    self.push(Value::Float);
                }
                b'X' | 0x8c | 0x8d | b'U' | b'T' => self.text(code)?,
                b'B' | b'C' | 0x8e => self.bytes(code)?,
                b')' | 0x85 | 0x86 | 0x87 | b't' => self.tuple(code)?,
                b']' => self.create(Object::List(Vec::new())),
                b'}' => self.create(Object::Dict(Vec::new())),
                b'a' | b'e' | b's' | b'u' => self.extend(code)?,
                b'q' | b'r' | 0x94 => self.remember(code)?,
                b'h' | b'j' => self.recall(code)?,
                b'c' | 0x93 => self.global(code)?,
                b'Q' => {
                    let id = self.pop()?;
                    self.create(Object::Persistent(id));
                }
                b'R' | 0x81 => self.call()?,
                // The state that a dictionary or tensor gets beyond its content: nothing that concerns weights.
                b'b' => drop(self.pop()?),
                _ => return Err(format!("the opcode 0x{code:02x} has no place in a checkpoint")),
            }
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (&taken, rest) = self.rest.split_first_chunk().ok_or("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], String> {
        let taken = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (taken, rest) = taken.ok_or("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let length = self.rest.iter().position(|&byte| byte == b'\n').ok_or("it is cut short")?;
        let line = self.slice(length as u64)?;
        self.take::<1>()?;
        str(line)
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(value);
    }

    fn pop(&mut self) -> Result<Value<'a>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let value = (self.stack.len() > floor).then(|| self.stack.pop()).flatten();
        value.ok_or_else(|| "its stack is empty".into())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, String> {
        let mark = self.marks.pop().ok_or("it has no mark where it needs one")?;
        Ok(self.stack.split_off(mark))
    }

    fn create(&mut self, object: Object<'a>) {
        self.objects.push(object);
        self.push(Value::Object(self.objects.len() - 1));
    }

    fn integer(&mut self, code: u8) -> Result<(), String> {
        let value = match code {
            b'K' => self.take::<1>()?[0].into(),
            b'M' => u16::from_le_bytes(self.take()?).into(),
            b'J' => i32::from_le_bytes(self.take()?).into(),
            _ => {
                let length = self.take::<1>()?[0];
                long(self.slice(length.into())?).ok_or("it holds an integer of more than 64 bits")?
            }
        };
        self.push(Value::Int(value));
        Ok(())
    }

    fn length(&mut self, width: usize) -> Result<u64, String> {
        Ok(match width {
            1 => self.take::<1>()?[0].into(),
            4 => u32::from_le_bytes(self.take()?).into(),
            _ => u64::from_le_bytes(self.take()?),
        })
    }

    fn text(&mut self, code: u8) -> Result<(), String> {
        let length = self.length(match code {
            0x8c | b'U' => 1,
            0x8d => 8,
            _ => 4,
        })?;
        let text = str(self.slice(length)?)?;
        self.push(Value::Text(text));
        Ok(())
    }

    fn bytes(&mut self, code: u8) -> Result<(), String> {
        let length = self.length(match code {
            b'C' => 1,
            b'B' => 4,
            _ => 8,
        })?;
        self.slice(length)?;
        self.push(Value::Bytes);
        Ok(())
    }

    fn tuple(&mut self, code: u8) -> Result<(), String> {
        let mut items = match code {
            b')' => Vec::new(),
            b't' => self.pop_to_mark()?,
            _ => (0x84..code).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?,
        };
        if code != b't' {
            items.reverse();
        }
        self.create(Object::Tuple(items));
        Ok(())
    }

    /// Adds one or many elements to a list or a dictionary.
    fn extend(&mut self, code: u8) -> Result<(), String> {
        let items = match code {
            b'a' => vec![self.pop()?],
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            _ => self.pop_to_mark()?,
        };
        let Some(&Value::Object(index)) = self.stack.last() else {
            return Err("it adds elements to what has none".into());
        };
        match (&mut self.objects[index], code) {
            (Object::List(list), b'a' | b'e') => list.extend(items),
            (Object::Dict(dict), b's' | b'u') if items.len() % 2 == 0 => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("it adds elements to what has none of that kind".into()),
        }
        Ok(())
    }

    fn remember(&mut self, code: u8) -> Result<(), String> {
        let key = match code {
            b'q' => self.take::<1>()?[0].into(),
            b'r' => u32::from_le_bytes(self.take()?),
            _ => self.memo.len() as u32,
        };
        self.memo.insert(key, *self.stack.last().ok_or("its stack is empty")?);
        Ok(())
    }

    fn recall(&mut self, code: u8) -> Result<(), String> {
        let key = match code {
            b'h' => self.take::<1>()?[0].into(),
            _ => u32::from_le_bytes(self.take()?),
        };
        let value = *self.memo.get(&key).ok_or_else(|| format!("it recalls {key}, which it never remembered"))?;
        self.push(value);
        Ok(())
    }

    fn global(&mut self, code: u8) -> Result<(), String> {
        let (module, name) = if code == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let (Value::Text(module), Value::Text(name)) = (module, name) else {
                return Err("it names a global by something else than text".into());
            };
            (module, name)
        };
        if !(self.is_known)(module, name) {
            return Err(format!("it asks for `{module}.{name}`, which has no place in a checkpoint and is not executed"));
        }
        self.push(Value::Global(module, name));
        Ok(())
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Global(_, name) = function else {
            return Err("it calls something that is no function".into());
        };
        let object = match name {
            "OrderedDict" => Object::Dict(Vec::new()),
            _ => Object::Call(function, arguments),
        };
        self.create(object);
        Ok(())
    }
}

fn str(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "it holds text that is not UTF-8".into())
}

/// A signed little-endian integer of any length.
fn long(bytes: &[u8]) -> Option<i64> {
    let sign = if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
    let mut word = [sign; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(word))
}
