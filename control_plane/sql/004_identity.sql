-- What a decision about an identity weighed beside cosine, metres and seconds.

alter table identity_decisions add column log_likelihood real;
