-- One type for what a kept answer is in, whatever the service: libs/answer_store reads it. Answers that are kept stay.
ALTER TABLE answers ALTER COLUMN answer TYPE bytea USING convert_to(answer, 'UTF8');
