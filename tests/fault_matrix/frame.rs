//! Triton's messages as far as a fault has to be put into them: parsed, changed
//! and written again by hand, so that what is wrong is wrong on purpose.

/// A field of a message: number and value.
enum Value {
    Varint(u64),
    Bytes(Vec<u8>),
}

/// A tensor of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub name: String,
    pub datatype: String,
    pub shape: Vec<u64>,
    pub raw: Vec<u8>,
}

/// A `ModelInferResponse`, and the `error_message` beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub error: String,
    pub model: String,
    pub id: String,
    pub last: Option<bool>,
    pub outputs: Vec<Output>,
    /// The outputs are listed, and their bytes left out.
    pub bare: bool,
}

/// What a server would have answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub model: String,
    pub id: String,
    pub frames: Vec<Frame>,
}

/// Model and id of a `ModelInferRequest` behind its gRPC prefix.
pub fn asked(body: &[u8]) -> (String, u64) {
    let (mut model, mut id) = (String::new(), 0);
    for (number, value) in fields(body.get(5..).unwrap_or_default()) {
        match (number, value) {
            (1, Value::Bytes(bytes)) => model = text(&bytes),
            (3, Value::Bytes(bytes)) => id = text(&bytes).parse().unwrap_or(0),
            _ => {}
        }
    }
    (model, id)
}

/// The messages of a body, without their prefixes.
pub fn messages(body: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut rest) = (Vec::new(), body);
    while let Some((prefix, behind)) = rest.split_first_chunk::<5>() {
        let [_, length @ ..] = *prefix;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
        let (message, behind) = behind.split_at(length);
        found.push(message);
        rest = behind;
    }
    found
}

/// A message with its prefix.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], message].concat()
}

impl Frame {
    /// Reads a `ModelStreamInferResponse`.
    pub fn of_stream(message: &[u8]) -> Self {
        let mut frame = Self::default();
        for (number, value) in fields(message) {
            match (number, value) {
                (1, Value::Bytes(bytes)) => frame.error = text(&bytes),
                (2, Value::Bytes(bytes)) => {
                    let error = std::mem::take(&mut frame.error);
                    frame = Self {
                        error,
                        ..Self::of_call(&bytes)
                    };
                }
                _ => {}
            }
        }
        frame
    }

    /// Reads a `ModelInferResponse`.
    pub fn of_call(message: &[u8]) -> Self {
        let mut frame = Self::default();
        let mut raws = Vec::new();
        for (number, value) in fields(message) {
            let Value::Bytes(bytes) = value else { continue };
            match number {
                1 => frame.model = text(&bytes),
                3 => frame.id = text(&bytes),
                4 => frame.last = flag(&bytes).or(frame.last),
                5 => frame.outputs.push(Output::of(&bytes)),
                6 => raws.push(bytes),
                _ => {}
            }
        }
        for (output, raw) in frame.outputs.iter_mut().zip(raws) {
            output.raw = raw;
        }
        frame
    }

    /// The `ModelInferResponse`.
    pub fn call(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, 1, self.model.as_bytes());
        put(&mut out, 3, self.id.as_bytes());
        if let Some(last) = self.last {
            let mut entry = Vec::new();
            put(&mut entry, 1, b"triton_final_response");
            put(&mut entry, 2, &[0x08, u8::from(last)]);
            put(&mut out, 4, &entry);
        }
        for output in &self.outputs {
            put(&mut out, 5, &output.listed());
        }
        for output in self.outputs.iter().filter(|_| !self.bare) {
            put(&mut out, 6, &output.raw);
        }
        out
    }

    /// The `ModelStreamInferResponse`.
    pub fn stream(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.error.is_empty() {
            put(&mut out, 1, self.error.as_bytes());
        }
        put(&mut out, 2, &self.call());
        out
    }

    /// The output of this name.
    pub fn output(&mut self, name: &str) -> Option<&mut Output> {
        self.outputs.iter_mut().find(|output| output.name == name)
    }
}

impl Output {
    fn of(message: &[u8]) -> Self {
        let mut output = Self::default();
        for (number, value) in fields(message) {
            match (number, value) {
                (1, Value::Bytes(bytes)) => output.name = text(&bytes),
                (2, Value::Bytes(bytes)) => output.datatype = text(&bytes),
                (3, Value::Varint(size)) => output.shape.push(size),
                (3, Value::Bytes(packed)) => {
                    let mut rest = &packed[..];
                    while !rest.is_empty() {
                        output.shape.push(varint(&mut rest));
                    }
                }
                _ => {}
            }
        }
        output
    }

    fn listed(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, 1, self.name.as_bytes());
        put(&mut out, 2, self.datatype.as_bytes());
        let mut shape = Vec::new();
        self.shape.iter().for_each(|&size| number(&mut shape, size));
        put(&mut out, 3, &shape);
        out
    }
}

fn flag(entry: &[u8]) -> Option<bool> {
    let mut is_flag = false;
    for (number, value) in fields(entry) {
        match (number, value) {
            (1, Value::Bytes(key)) => is_flag = key == b"triton_final_response",
            (2, Value::Bytes(choice)) if is_flag => return Some(choice == [0x08, 1]),
            _ => {}
        }
    }
    None
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fields(mut message: &[u8]) -> Vec<(u64, Value)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut message)),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Value::Bytes(bytes.to_vec())
            }
            fixed => {
                message = &message[if fixed == 1 { 8 } else { 4 }..];
                continue;
            }
        };
        found.push((key >> 3, value));
    }
    found
}

fn varint(message: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some((byte, rest)) = message.split_first() {
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

fn put(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    number(out, (field << 3) | 2);
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
