-- name: NotificationsList :many
-- NotificationsList reads a page of all notifications after a position, those of the newest orders first.
SELECT * FROM millrace.notifications
WHERE order_id <= @before_order::uuid AND (order_id < @before_order::uuid OR generation < @before_generation)
ORDER BY order_id DESC, generation DESC LIMIT @page_size;

-- name: NotificationsListByCustomer :many
SELECT * FROM millrace.notifications
WHERE customer_id = @customer_id
    AND order_id <= @before_order::uuid AND (order_id < @before_order::uuid OR generation < @before_generation)
ORDER BY order_id DESC, generation DESC LIMIT @page_size;

-- name: NotificationsListByOrder :many
-- NotificationsListByOrder reads a page of one order's notifications, for one customer if a customer is given.
SELECT * FROM millrace.notifications
WHERE order_id = @order_id AND generation < @before_generation
    AND (@customer_id::text = '' OR customer_id = @customer_id::text)
ORDER BY generation DESC LIMIT @page_size;
