//! Requests and answers of the models: Anthropic's shape, Amazon's, and Converse's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Operation, validation};
use crate::sandbox::error::AwsError;

/// What was asked.
#[derive(Debug)]
pub(super) struct Prompt {
    /// The last message's text.
    text: String,
    /// Words of all messages.
    words: usize,
    max_tokens: usize,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Anthropic,
    Amazon,
}

/// What is answered. The same request by the same caller gets the same text; a token is a word.
#[derive(Debug)]
pub(super) struct Reply {
    text: String,
    model: String,
    shape: Shape,
    is_cut: bool,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

impl Prompt {
    pub(super) fn read(operation: Operation, model_id: &str, body: &[u8]) -> Result<Self, AwsError> {
        let malformed = || validation("Malformed input request, please reformat your input and try again.");
        let body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| malformed())?;
        let shape = if model_id.starts_with("anthropic.") { Shape::Anthropic } else { Shape::Amazon };
        match operation {
            Operation::InvokeModel | Operation::InvokeModelWithResponseStream => Self::invoked(shape, &body),
            Operation::Converse | Operation::ConverseStream => Self::conversed(shape, &body),
            Operation::CountTokens => {
                let input = body.get("input").ok_or_else(malformed)?;
                if let Some(body) = input.pointer("/invokeModel/body").and_then(Value::as_str) {
                    let body = STANDARD.decode(body).map_err(|_| malformed())?;
                    Self::invoked(shape, &serde_json::from_slice(&body).map_err(|_| malformed())?)
                } else {
                    Self::conversed(shape, input.get("converse").and_then(Value::as_object).ok_or_else(malformed)?)
                }
            }
        }
    }

    /// The body of an invocation, in the model's own shape, with the refusals that Anthropic's models give.
    fn invoked(shape: Shape, body: &Map<String, Value>) -> Result<Self, AwsError> {
        let max_tokens =
            |value: Option<&Value>| value.and_then(Value::as_u64).and_then(|max| usize::try_from(max).ok());
        let max = match shape {
            Shape::Anthropic => {
                for name in ["anthropic_version", "max_tokens", "messages"] {
                    if !body.contains_key(name) {
                        return Err(validation(format!("{name}: Field required")));
                    }
                }
                if body["anthropic_version"] != "bedrock-2023-05-31" {
                    return Err(validation("anthropic_version: Input should be 'bedrock-2023-05-31'"));
                }
                if let Some(name) = ["model", "stream"].into_iter().find(|name| body.contains_key(*name)) {
                    return Err(validation(format!("{name}: Extra inputs are not permitted")));
                }
                let max = max_tokens(body.get("max_tokens")).filter(|max| *max > 0);
                max.ok_or_else(|| validation("max_tokens: Input should be a valid integer greater than 0"))?
            }
            Shape::Amazon => {
                max_tokens(body.get("inferenceConfig").and_then(|c| c.get("maxTokens"))).unwrap_or(usize::MAX)
            }
        };
        Self::of(shape, body, max)
    }

    fn conversed(shape: Shape, body: &Map<String, Value>) -> Result<Self, AwsError> {
        let max = body.get("inferenceConfig").and_then(|config| config.get("maxTokens")).and_then(Value::as_u64);
        Self::of(shape, body, max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX))
    }

    fn of(shape: Shape, body: &Map<String, Value>, max_tokens: usize) -> Result<Self, AwsError> {
        let messages = body.get("messages").and_then(Value::as_array).filter(|list| !list.is_empty());
        let messages = messages.ok_or_else(|| validation("messages: at least one message is required"))?;
        let mut texts = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            if !matches!(message.get("role").and_then(Value::as_str), Some("user" | "assistant")) {
                return Err(validation(format!("messages.{index}.role: Input should be 'user' or 'assistant'")));
            }
            texts.push(match message.get("content") {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Array(blocks)) => {
                    let texts = blocks.iter().filter_map(|block| block.get("text").and_then(Value::as_str));
                    texts.collect::<Vec<_>>().join("\n")
                }
                _ => return Err(validation(format!("messages.{index}.content: Field required"))),
            });
        }
        let words = texts.iter().map(|text| text.split_whitespace().count()).sum();
        Ok(Self { text: texts.pop().unwrap_or_default(), words, max_tokens, shape })
    }

    pub(super) const fn tokens(&self) -> usize {
        self.words
    }
}

impl Reply {
    /// An answer that says who asked which model, and what.
    pub(super) fn to(prompt: &Prompt, who: &str, model: &str) -> Self {
        let whole = format!("Hello, {who}. This is {model} of the stand-in AWS. You said: {}", prompt.text);
        let words: Vec<&str> = whole.split_whitespace().collect();
        let is_cut = words.len() > prompt.max_tokens;
        let kept = &words[..words.len().min(prompt.max_tokens)];
        Self {
            text: if is_cut { kept.join(" ") } else { whole.clone() },
            model: model.to_owned(),
            shape: prompt.shape,
            is_cut,
            input_tokens: prompt.words as u64,
            output_tokens: kept.len() as u64,
        }
    }

    /// The text as a stream delivers it: word by word, white space kept.
    fn pieces(&self) -> impl Iterator<Item = &str> {
        self.text.split_inclusive(char::is_whitespace)
    }

    const fn stop_reason(&self) -> &'static str {
        if self.is_cut { "max_tokens" } else { "end_turn" }
    }

    /// The answer of an invocation.
    pub(super) fn invoked(&self, id: &str) -> Value {
        match self.shape {
            Shape::Anthropic => {
                let mut message = self.message(id, &json!([{ "type": "text", "text": self.text }]));
                message["stop_reason"] = self.stop_reason().into();
                message["usage"] = json!({ "input_tokens": self.input_tokens, "output_tokens": self.output_tokens });
                message
            }
            Shape::Amazon => json!({
                "output": { "message": { "role": "assistant", "content": [{ "text": self.text }] } },
                "stopReason": self.stop_reason(),
                "usage": self.usage(),
            }),
        }
    }

    /// The answer of an invocation, chunk by chunk.
    pub(super) fn invoked_parts(&self, id: &str) -> Vec<Value> {
        let metrics = json!({
            "inputTokenCount": self.input_tokens, "outputTokenCount": self.output_tokens,
            "invocationLatency": 1, "firstByteLatency": 1,
        });
        let mut parts = match self.shape {
            Shape::Anthropic => {
                let begin = json!({ "type": "message_start", "message": self.message(id, &json!([])) });
                let block = json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
                let deltas = self.pieces().map(|text| {
                    json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } })
                });
                let end = [
                    json!({ "type": "content_block_stop", "index": 0 }),
                    json!({
                        "type": "message_delta",
                        "delta": { "stop_reason": self.stop_reason(), "stop_sequence": null },
                        "usage": { "output_tokens": self.output_tokens },
                    }),
                    json!({ "type": "message_stop" }),
                ];
                [begin, block].into_iter().chain(deltas).chain(end).collect::<Vec<_>>()
            }
            Shape::Amazon => {
                let parts = self.conversed_parts();
                parts.into_iter().map(|(name, part)| Value::Object(Map::from_iter([(name.to_owned(), part)]))).collect()
            }
        };
        if let Some(last) = parts.last_mut() {
            last["amazon-bedrock-invocationMetrics"] = metrics;
        }
        parts
    }

    /// Anthropic's message, with nothing said yet but `content`.
    fn message(&self, id: &str, content: &Value) -> Value {
        let model = self.model.trim_start_matches("anthropic.").split("-v").next().unwrap_or_default();
        json!({
            "id": id, "type": "message", "role": "assistant", "model": model, "content": content,
            "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": self.input_tokens, "output_tokens": 1 },
        })
    }

    fn usage(&self) -> Value {
        json!({
            "inputTokens": self.input_tokens, "outputTokens": self.output_tokens,
            "totalTokens": self.input_tokens + self.output_tokens,
        })
    }

    /// The answer of Converse.
    pub(super) fn conversed(&self) -> Value {
        json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": self.text }] } },
            "stopReason": self.stop_reason(),
            "usage": self.usage(),
            "metrics": { "latencyMs": 1 },
        })
    }

    /// The events of ConverseStream.
    pub(super) fn conversed_parts(&self) -> Vec<(&'static str, Value)> {
        let deltas = self
            .pieces()
            .map(|text| ("contentBlockDelta", json!({ "contentBlockIndex": 0, "delta": { "text": text } })));
        let end = [
            ("contentBlockStop", json!({ "contentBlockIndex": 0 })),
            ("messageStop", json!({ "stopReason": self.stop_reason() })),
            ("metadata", json!({ "usage": self.usage(), "metrics": { "latencyMs": 1 } })),
        ];
        std::iter::once(("messageStart", json!({ "role": "assistant" }))).chain(deltas).chain(end).collect()
    }
}
