//! The WebSocket codec alone, behind `fastgate.primitives`.

use fastgate_core::websocket::{
    Deflater, Event, Head, MAX_CONTROL, Opcode, Receiver, Role, Rules, Violation, apply_mask, negotiate_deflate,
};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

create_exception!(
    fastgate._engine,
    WebSocketViolation,
    PyValueError,
    "A peer broke the WebSocket protocol; args: the code to close with, a sentence, the events before it."
);

/// Reads the frames of one direction of a WebSocket connection (RFC 6455), as strictly as the gateway does.
///
/// `server=False` reads what a server sends. Messages have at most `max_message` bytes; `deflate` takes those compressed
/// by permessage-deflate without context takeover (RFC 7692). Nothing is held while no message and no frame is split.
#[pyclass(module = "fastgate._engine")]
pub struct WebSocketParser {
    receiver: Receiver,
    rules: Rules,
    buffer: Vec<u8>,
    closed: bool,
    violation: Option<Violation>,
}

#[pymethods]
impl WebSocketParser {
    #[new]
    #[pyo3(signature = (*, server = true, max_message = 1_048_576, deflate = false))]
    fn new(server: bool, max_message: usize, deflate: bool) -> Self {
        let role = if server { Role::Server } else { Role::Client };
        let rules = Rules { role, max_message, deflate };
        Self { receiver: Receiver::default(), rules, buffer: Vec::new(), closed: false, violation: None }
    }

    /// What the bytes received next say: ("text", str), ("binary" | "ping" | "pong", bytes), ("close", (code, reason)).
    ///
    /// Bytes behind a close are not read. Raises `WebSocketViolation` at the first byte that breaks the protocol, and
    /// from then on.
    fn feed<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let events = PyList::empty(py);
        self.buffer.clear();
        self.buffer.extend_from_slice(data);
        let mut at = 0;
        while !self.closed && self.violation.is_none() {
            match self.receiver.next(&self.rules, &mut self.buffer[at..]) {
                Ok((used, Some(event))) => {
                    at += used;
                    self.closed = matches!(event, Event::Close { .. });
                    events.append(told(py, &event)?)?;
                }
                Ok((_, None)) => break,
                Err(violation) => self.violation = Some(violation),
            }
        }
        match self.violation {
            None => Ok(events),
            Some(violation) => {
                let args = (violation.code(), violation.reason(), events.unbind());
                Err(WebSocketViolation::new_err(args))
            }
        }
    }

    /// Whether a close was received.
    #[getter]
    fn closed(&self) -> bool {
        self.closed
    }

    /// Bytes of memory held for what is split; 0 between messages.
    #[getter]
    fn held(&self) -> usize {
        self.receiver.held()
    }
}

fn told<'py>(py: Python<'py>, event: &Event<'_>) -> PyResult<Bound<'py, PyAny>> {
    let bytes = |data: &[u8]| PyBytes::new(py, data);
    Ok(match *event {
        Event::Message { binary: false, data } => {
            (intern!(py, "text"), PyString::from_bytes(py, data)?).into_pyobject(py)?.into_any()
        }
        Event::Message { binary: true, data } => (intern!(py, "binary"), bytes(data)).into_pyobject(py)?.into_any(),
        Event::Ping(data) => (intern!(py, "ping"), bytes(data)).into_pyobject(py)?.into_any(),
        Event::Pong(data) => (intern!(py, "pong"), bytes(data)).into_pyobject(py)?.into_any(),
        Event::Close { code, reason } => (intern!(py, "close"), (code, reason)).into_pyobject(py)?.into_any(),
    })
}

/// One WebSocket frame (RFC 6455 §5.2); with a `mask` of four bytes it is a client's.
///
/// `opcode` is 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong. `compressed` marks the first frame of a
/// compressed message. Raises `ValueError` for another opcode or mask, and for a control frame that is a fragment,
/// compressed or has more than 125 bytes.
#[pyfunction]
#[pyo3(signature = (opcode, payload, *, mask = None, fin = true, compressed = false))]
pub fn websocket_frame<'py>(
    py: Python<'py>,
    opcode: u8,
    payload: &[u8],
    mask: Option<&[u8]>,
    fin: bool,
    compressed: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    const OPCODES: [Opcode; 6] =
        [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
    let Some(opcode) = OPCODES.into_iter().find(|known| *known as u8 == opcode) else {
        return Err(PyValueError::new_err(format!("opcode is {opcode}: 0, 1, 2, 8, 9 or 10")));
    };
    if opcode.is_control() && (!fin || compressed || payload.len() > MAX_CONTROL) {
        return Err(PyValueError::new_err("a control frame is whole, not compressed, and has at most 125 bytes"));
    }
    let mask = mask
        .map(<[u8; 4]>::try_from)
        .transpose()
        .map_err(|_| PyValueError::new_err("mask has another length than 4 bytes"))?;
    let mut head = Vec::with_capacity(16);
    Head { fin, compressed, opcode, mask, length: payload.len() as u64 }.write(&mut head);
    PyBytes::new_with(py, head.len() + payload.len(), |out| {
        let (start, body) = out.split_at_mut(head.len());
        start.copy_from_slice(&head);
        body.copy_from_slice(payload);
        if let Some(key) = mask {
            apply_mask(body, key);
        }
        Ok(())
    })
}

/// The payload of a message compressed for permessage-deflate (RFC 7692 §7.2.1); `None` where it gets no smaller.
#[pyfunction]
pub fn websocket_deflate<'py>(py: Python<'py>, message: &[u8]) -> Option<Bound<'py, PyBytes>> {
    Deflater::new().deflate(message).map(|payload| PyBytes::new(py, &payload))
}

/// What the gateway answers to the values of `Sec-WebSocket-Extensions` of a request; `None`: nothing is agreed on.
///
/// Raises `ValueError` for values that do not follow the grammar (RFC 6455 §9.1).
#[pyfunction]
pub fn websocket_extensions(values: Vec<Vec<u8>>) -> PyResult<Option<&'static str>> {
    negotiate_deflate(values.iter().map(Vec::as_slice))
        .map_err(|_| PyValueError::new_err("Sec-WebSocket-Extensions does not follow RFC 6455, section 9.1"))
}
