-- One name for what a kept answer is in, whatever the service: libs/answer_store reads it. Answers that are kept stay.
-- An instance of before that still runs answers requests with an Idempotency-Key with an error, having done nothing, until
-- it is replaced; a copy of the column would have let it and its successor do one request twice.
ALTER TABLE answers RENAME COLUMN sealed_answer TO answer;
